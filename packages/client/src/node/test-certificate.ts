/**
 * A self-signed certificate for `localhost` and 127.0.0.1, valid for a hundred years, and its key: for tests only, no
 * client trusts it unless told to.
 */
export const testCertificate = `-----BEGIN CERTIFICATE-----
MIIBmjCCAUGgAwIBAgIUVu1HAtfl5S+U1CEdwdwVAk13EbUwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNjE3NDI1M1oYDzIxMjYxMTAy
MTc0MjUzWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASONDYcIqcW41pCKICbbqs8bKeAtAEkfWI7mte8cEek3X1tuotULCf0
WTLAWoQbizSxR2I1Ii17HoT5WQzMT62go28wbTAdBgNVHQ4EFgQUn4dcFX67+k6s
4y8ZrwEtaI4qlscwHwYDVR0jBBgwFoAUn4dcFX67+k6s4y8ZrwEtaI4qlscwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDRwAwRAIgUymm898oILDRnCHOuJtRpMcF5T58n8tOhLPCYws9FQACIG+d
tcIxvEepTLSav7nectiO3uWN3xnlGwSfA78FSrO0
-----END CERTIFICATE-----
`

export const testKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgqKdcah0gTWDh0hqN
eFA0QoR5chF1LwGnmsIaxczLojuhRANCAASONDYcIqcW41pCKICbbqs8bKeAtAEk
fWI7mte8cEek3X1tuotULCf0WTLAWoQbizSxR2I1Ii17HoT5WQzMT62g
-----END PRIVATE KEY-----
`
