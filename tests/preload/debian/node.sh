# SPDX-License-Identifier: Apache-2.0
# programs: node
# packages: nodejs
# seen: node
LONG=$LONG node - <<'J'
const crypto = require('crypto'), zlib = require('zlib'), fs = require('fs');
const { Worker } = require('worker_threads');
const { execFileSync } = require('child_process');
const sum = (x) => crypto.createHash('sha256').update(x).digest('hex');
const times = process.env.LONG ? 30 : 1;
for (let t = 0; t < times; t++) {
  const map = new Map(), rows = [];
  for (let i = 0; i < 50000; i++) { map.set('k' + (i * 7919 % 10007), { i, s: 'x'.repeat(i % 50) }); rows.push([i, String(i)]); }
  console.log(map.size, sum(JSON.stringify([...map])), sum(JSON.stringify(rows)));
  const bytes = Buffer.alloc(1 << 20, 'ebb and tide ');
  console.log(sum(zlib.gunzipSync(zlib.gzipSync(bytes))), sum(zlib.brotliCompressSync(bytes.subarray(0, 1 << 17))));
  const open = []; for (let i = 0; i < 200; i++) open.push(Buffer.alloc(65536 + i)); console.log(sum(Buffer.concat(open)));
}
const code = `const { parentPort } = require('worker_threads'); let s = 0;
for (let i = 0; i < 3e5; i++) s = (s + Buffer.from('a' + i).length) % 65521; parentPort.postMessage(s);`;
Promise.all([1, 2, 3].map(() => new Promise((done, fail) => {
  const worker = new Worker(code, { eval: true }); worker.on('message', done); worker.on('error', fail);
}))).then((sums) => {
  console.log(sums, execFileSync('echo', ['a child']).toString());
  setTimeout(() => console.log(fs.readdirSync('/proc/self/fd').length), 100);
});
J
