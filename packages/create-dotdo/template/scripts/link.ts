/**
 * `npm run link -- https://my-pipeline.example.workers.dev`: prints a link that opens the page of a deployed app once, within the hour. It is signed
 * with the app's secret, which it reads from DOTDO_SECRET; nothing is sent anywhere.
 */
import { oneTimeLink } from 'dotdo/local'

const url = process.argv[2] ?? ''
const secret = process.env['DOTDO_SECRET'] ?? ''
if (!URL.canParse(url)) fail('Say which app: DOTDO_SECRET=… npm run link -- https://my-pipeline.example.workers.dev')
else if (secret.length < 16)
  fail('DOTDO_SECRET is not set, or is shorter than 16 characters. Give the one that was stored by: npx wrangler secret put DOTDO_SECRET')
else console.log(await oneTimeLink(url, secret))

function fail(message: string): void {
  console.error(message)
  process.exitCode = 1
}
