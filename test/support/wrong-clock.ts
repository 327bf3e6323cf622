/** Loaded into a server under test before its own modules: its clock is five hours ahead. */
const realNow = Date.now.bind(Date)
const aheadMs = 5 * 3600 * 1000

Date.now = () => realNow() + aheadMs
// The test has ended without stopping its server.
process.on('disconnect', () => process.exit())
process.channel?.unref()
