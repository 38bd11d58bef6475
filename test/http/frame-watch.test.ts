/** Boundaries between WebSocket frames, found whatever the pieces. */
import t from 'tap'
import { FrameWatch } from '../../src/http/frame-watch.ts'

function frame(size: number): Buffer {
  const header = size < 126 ? Buffer.from([0x82, size]) : size < 65_536 ? Buffer.from([0x82, 126, size >> 8, size & 255]) : Buffer.from([0x82, 127, 0, 0, 0, 0, 0, size >> 16, (size >> 8) & 255, size & 255])
  return Buffer.concat([header, Buffer.alloc(size, 0xff)])
}

t.test('frames of every length form, split at every byte', async (t) => {
  for (const size of [0, 1, 125, 126, 300, 65_535, 65_536]) {
    const bytes = Buffer.concat([frame(size), frame(3)])
    const end = bytes.length - 5
    const step = Math.max(1, Math.floor(bytes.length / 50))
    for (let split = 0; split <= end; split += step) {
      const watch = new FrameWatch()
      watch.take(bytes.subarray(0, split), false)
      t.equal(watch.atBoundary, split === 0 || split === end)
      if (split < end) t.equal(watch.take(bytes.subarray(split), true), end - split, `${size} at ${split}`)
    }
  }
})

t.test('a masked frame is none of a server\'s: no boundary is trusted', async (t) => {
  const watch = new FrameWatch()
  watch.take(Buffer.from([0x81, 0x81, 1, 2, 3, 4, 5]), false)
  t.equal(watch.sound, false)
  t.equal(watch.take(Buffer.from([0x88, 0]), true), undefined)
})
