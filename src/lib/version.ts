/** The version of this program, as in package.json and in the chart's `appVersion` (a test compares them): it is written here so that nothing has to be read at a start. */
export const VERSION = '0.1.0'
