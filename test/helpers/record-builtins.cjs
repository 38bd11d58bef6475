// Preloaded by test/budget: at the end the process writes to stderr which of Node's own modules it has loaded, one a line. Synchronously, and not by
// console or process.stderr, which load some themselves.
process.on('exit', () => {
  const { writeSync } = process.getBuiltinModule('node:fs')
  writeSync(2, `${process.moduleLoadList.filter((name) => name.startsWith('NativeModule ')).map((name) => name.slice(13)).join('\n')}\n`)
})
