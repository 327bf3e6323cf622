/**
 * A self-signed certificate for `mirror.example`, valid for a hundred years, and its key: for tests only, no
 * client trusts it unless told to.
 */
export const testCertificate = `-----BEGIN CERTIFICATE-----
MIIBpTCCAUqgAwIBAgIUPPEyrbQTOG1kRttBwaeOuo4emIEwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwObWlycm9yLmV4YW1wbGUwIBcNMjYxMTIyMjA0ODA4WhgPMjEy
NjEwMjkyMDQ4MDhaMBkxFzAVBgNVBAMMDm1pcnJvci5leGFtcGxlMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAE37UVXhD8PgxOBk46aeHrdKMW4sG5z7GqP9Bh9PXt
mrh5Z0i3ZVAIgG/9EXdcn7CaujpjI+XKN9YgeSBWeehcGqNuMGwwHQYDVR0OBBYE
FKinYXsTwjsv/lj7m3sWQoa1gPDsMB8GA1UdIwQYMBaAFKinYXsTwjsv/lj7m3sW
Qoa1gPDsMBkGA1UdEQQSMBCCDm1pcnJvci5leGFtcGxlMA8GA1UdEwEB/wQFMAMB
Af8wCgYIKoZIzj0EAwIDSQAwRgIhAIZpAO547Yl9I1EZCK/616YuW5lWh2XWuvk5
h70XQZ/bAiEA2wqlZqf6uSimjUJNKA3VfkMkssitIB4YGyDXQmH6XxQ=
-----END CERTIFICATE-----
`

export const testKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgpz3SIDJAMASwWl2v
/hv7V2lET2XE4YcHxOXAJwsA9TahRANCAATftRVeEPw+DE4GTjpp4et0oxbiwbnP
sao/0GH09e2auHlnSLdlUAiAb/0Rd1yfsJq6OmMj5co31iB5IFZ56Fwa
-----END PRIVATE KEY-----
`
