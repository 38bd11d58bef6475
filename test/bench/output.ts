import { spawn } from 'node:child_process'

/** Runs a command to its end. Returns what it wrote to stdout. */
export function output(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => { text += chunk.toString() })
    child.on('error', reject)
    child.on('close', (code) => code === 0 ? resolve(text) : reject(new Error(`${command} ${args.join(' ')} ended with ${code}`)))
  })
}
