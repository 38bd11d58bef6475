// Preloaded by test/budget: writes how (import or require) and which module the process loads, one a line, into the file named by RECORD_MODULES.
import { appendFileSync } from 'node:fs'
import { registerHooks } from 'node:module'

const file = process.env.RECORD_MODULES
registerHooks({
  load(url, context, next) {
    appendFileSync(file, `${context.conditions.includes('import') ? 'import' : 'require'} ${url}\n`)
    return next(url, context)
  },
})
