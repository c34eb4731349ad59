// Builds ../collector.js and ../LICENSES.txt: `npm ci --ignore-scripts && npm run build`, with the versions of the lock
// file. The same sources give the same bytes; a test compares their SHA-256 with the README.
import { build } from 'esbuild'
import { readFile, writeFile } from 'node:fs/promises'

// The sources of the fingerprint library that the server reads; the others' code is left out, and
// so are `load` and its statistics request: nothing here calls them.
const USED = [
  'userAgentData', 'fonts', 'audio', 'canvas', 'languages', 'colorDepth', 'deviceMemory',
  'screenResolution', 'hardwareConcurrency', 'timezone', 'platform', 'touchSupport', 'vendor',
  'architecture', 'webGlBasics',
]
const PARTS = ['@fingerprintjs/fingerprintjs', '@fingerprintjs/botd', '@noble/hashes']

const onlyUsed = {
  name: 'only-used-sources',
  setup({ onLoad }) {
    onLoad({ filter: /fp\.esm\.js$/ }, async ({ path }) => {
      const code = await readFile(path, 'utf8')
      const [all] = code.match(/^const sources = \{$.*?^\};$/ms)
      const rows = USED.map((name) => all.match(new RegExp(`^    ${name}: \\w+,$`, 'm'))[0])
      return { contents: code.replace(all, `const sources = {\n${rows.join('\n')}\n};`) }
    })
  },
}

await build({
  entryPoints: ['collector.mjs'],
  outfile: '../collector.js',
  bundle: true,
  minify: true,
  format: 'iife',
  target: 'es2020',
  charset: 'ascii', // a page in another encoding would draw other text
  legalComments: 'none',
  banner: { js: '/* Touchstone collector. MIT licences of its parts: see LICENSES.txt beside this file. */' },
  plugins: [onlyUsed],
})

const licenses = await Promise.all(
  PARTS.map(async (name) => {
    const folder = `node_modules/${name}`
    const { version, license } = JSON.parse(await readFile(`${folder}/package.json`, 'utf8'))
    return `${name} ${version} (${license})\n\n${(await readFile(`${folder}/LICENSE`, 'utf8')).trim()}\n`
  }),
)
await writeFile('../LICENSES.txt', `collector.js contains parts of:\n\n${licenses.join('\n---\n\n')}`)
