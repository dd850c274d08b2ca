/**
 * Checks the packages as users get them: packed, unpacked into a project, linted by publint, and compiled against.
 *
 * The consumer lies in `.dotdo/package-check`, below the root, so that the dependencies resolve from the root while `dotdo` itself
 * resolves to the unpacked tarball and to no source file.
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { environment, execute, root } from './support/parts.ts'

interface Manifest {
  name: string
  exports?: Record<string, unknown>
  bin?: string | Record<string, string>
}

const work = join(root, '.dotdo/package-check')
const consumer = join(work, 'consumer')
await rm(work, { recursive: true, force: true })
await mkdir(join(consumer, 'node_modules'), { recursive: true })

const faults: string[] = []
for (const name of ['dotdo', 'create-dotdo']) {
  const { manifest, tarball, folder } = await unpack(name)
  if ((await execute(['publint', 'run', tarball, '--strict'])) !== 0) faults.push(`${name}: publint`)
  for (const path of typeof manifest.bin === 'string' ? [manifest.bin] : Object.values(manifest.bin ?? {})) {
    if (!existsSync(join(folder, path))) faults.push(`${name}: bin ${path} is not in the package`)
  }
}
await compile()
for (const fault of faults) console.error(`fault: ${fault}`)
process.exitCode = faults.length === 0 ? 0 : 1

/** Packs a workspace and lays it into the consumer's node_modules. */
async function unpack(name: string): Promise<{ manifest: Manifest; tarball: string; folder: string }> {
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const packed = execFileSync(npm, ['pack', '--silent', '--pack-destination', work], {
    cwd: join(root, 'packages', name),
    env: environment(),
    encoding: 'utf8',
    shell: process.platform === 'win32',
  })
  const tarball = join(work, packed.trim().split('\n').at(-1) ?? '')
  const folder = join(consumer, 'node_modules', name)
  await mkdir(folder)
  // tar is part of Debian, macOS and Windows 10 and newer.
  execFileSync('tar', ['-xzf', tarball, '-C', folder, '--strip-components=1'])
  return { manifest: JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest, tarball, folder }
}

/**
 * Imports every entry of `dotdo` the way a Worker's bundler resolves it and the way Node does. skipLibCheck stays off, so that an
 * unresolved type in our declarations is found; diagnostics of other packages' declarations are theirs and are left out.
 */
async function compile(): Promise<void> {
  const manifest = JSON.parse(await readFile(join(consumer, 'node_modules/dotdo/package.json'), 'utf8')) as Manifest
  const entries = Object.keys(manifest.exports ?? {}).filter((entry) => !entry.endsWith('.json') && !entry.includes('*'))
  if (entries.length === 0) return void faults.push('dotdo: package.json has no "exports"')
  await writeFile(join(consumer, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
  const source = entries.map((entry, index) => `import * as entry${index} from 'dotdo${entry.slice(1)}'\nvoid entry${index}`)
  await writeFile(join(consumer, 'consumer.ts'), `${source.join('\n')}\n`)
  const shared = { target: 'es2024', strict: true, exactOptionalPropertyTypes: true, noEmit: true, skipLibCheck: false }
  const styles = {
    worker: {
      module: 'esnext',
      moduleResolution: 'bundler',
      customConditions: ['workerd'],
      types: ['@cloudflare/workers-types'],
      lib: ['es2024', 'esnext.disposable'],
    },
    node: { module: 'nodenext', types: ['node', '@cloudflare/workers-types'], lib: ['es2024', 'esnext.disposable'] },
  }
  for (const [style, options] of Object.entries(styles)) {
    const config = join(consumer, `tsconfig.${style}.json`)
    await writeFile(config, JSON.stringify({ compilerOptions: { ...shared, ...options }, files: ['consumer.ts'] }))
    const ours = diagnostics(config).filter((line) => /^(.*node_modules\/dotdo\/|.*consumer\.ts|error )/.test(line.replaceAll('\\', '/')))
    for (const line of ours) console.error(line)
    if (ours.length > 0) faults.push(`dotdo: ${ours.length} type errors for a consumer of the ${style} kind`)
  }
  if (entries.includes('./client') && (await execute(['node', '--input-type=module', '-e', clientImport()])) !== 0) {
    faults.push('dotdo: "dotdo/client" cannot be imported in Node')
  }
}

function diagnostics(config: string): string[] {
  try {
    execFileSync('tsc', ['-p', config, '--pretty', 'false'], {
      cwd: root,
      env: environment(),
      encoding: 'utf8',
      shell: process.platform === 'win32',
    })
    return []
  } catch (error) {
    const { stdout } = error as { stdout?: string }
    if (!stdout) throw error
    return stdout.split('\n').filter((line) => line.includes('error TS'))
  }
}

/** Resolved from the consumer's folder: a bare `import` would find the workspace's own link at the root. */
function clientImport(): string {
  const from = JSON.stringify(join(consumer, 'consumer.js'))
  return `const { createRequire } = await import('node:module'); const { pathToFileURL } = await import('node:url');
    const path = createRequire(${from}).resolve('dotdo/client'); await import(pathToFileURL(path).href)`
}
