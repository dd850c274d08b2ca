/**
 * Owns which texts are secret in this isolate: memory of the module, because what is secret is so for every object and every room in it, and a text that
 * leaves has to be compared with all of them. Invariants:
 * 1. A text that was declared is secret until the isolate ends. It is known in the forms in which code writes it down: as it is, in JSON, in an
 *    address, in base64.
 * 2. What is shown (errors, logs, previews, live events, spans) goes through `redactText`, which puts `[secret NAME]` in the place of each.
 * 3. What is stored is compared too, and refused: a replay would else be given something other than the first execution.
 */

/** How many secrets an isolate knows: each text that leaves is compared with each of them. */
export const mostSecrets = 256

/** The forms of every secret, with what is shown in their place. The longest form comes first, so that no part of it is left. */
let known: { form: string; shown: string }[] = []
const values = new Set<string>()
/** The capabilities that hold them, with what is shown of each. */
const holders = new WeakMap<object, string>()

/** Makes a text secret from now on. Answers `false` where that would be one too many. */
export function know(name: string, value: string): boolean {
  if (values.has(value)) return true
  if (values.size >= mostSecrets) return false
  values.add(value)
  for (const form of new Set(formsOf(value))) if (!known.some((it) => it.form === form)) known.push({ form, shown: shownAs(name) })
  known = known.toSorted((a, b) => b.form.length - a.form.length)
  return true
}

/** Says that an object holds a secret of this name. */
export function holds(holder: object, name: string): void {
  holders.set(holder, shownAs(name))
}

/** What is shown of an object that holds a secret; `undefined` of any other. */
export function shownOf(value: object): string | undefined {
  return holders.get(value)
}

/** Whether any secret is known: only then is there anything to look for. */
export function anySecrets(): boolean {
  return known.length > 0
}

/** The text with `[secret NAME]` in the place of each secret that stands in it. */
export function withoutSecrets(text: string): string {
  let clean = text
  for (const { form, shown } of known) if (clean.includes(form)) clean = clean.replaceAll(form, shown)
  return clean
}

/** What is shown of the first secret that stands in a text: `[secret NAME]`. */
export function secretIn(text: string): string | undefined {
  for (const { form, shown } of known) if (text.includes(form)) return shown
  return undefined
}

/** What is shown of a secret. */
export function shownAs(name: string): string {
  return `[secret ${name}]`
}

/** How code writes a text down. */
function formsOf(value: string): string[] {
  const json = JSON.stringify(value).slice(1, -1)
  // As devalue and pages write it, so that no markup ends in it.
  const forms = [value, json, json.replaceAll('<', '\\u003C'), encodeURIComponent(value.toWellFormed())]
  for (const text of base64Forms(new TextEncoder().encode(value))) forms.push(text, text.replaceAll('+', '-').replaceAll('/', '_'))
  return forms
}

/** What of a base64 text comes from these bytes alone, wherever in it they stand. */
function base64Forms(bytes: Uint8Array): string[] {
  return [0, 1, 2].map((before) => {
    const bits = (before + bytes.length) * 8
    let text = ''
    // Six bits of which the first or the last come from something else are left out.
    for (let bit = Math.ceil((before * 8) / 6) * 6; bit + 6 <= bits; bit += 6) {
      const at = (bit >> 3) - before
      const pair = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
      text += alphabet[(pair >> (10 - (bit & 7))) & 63]
    }
    return text
  })
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
