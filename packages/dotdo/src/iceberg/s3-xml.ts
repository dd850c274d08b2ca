/** The XML that S3 answers with (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html). */
import type { ObjectPage } from './ports.ts'

const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
const NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'

/** A listing and the question that it answers. */
export interface Listing {
  bucketName: string
  prefix: string
  delimiter: string
  startAfter: string
  token: string
  maxKeys: number
  /** Whether keys go percent-encoded, which lets them hold what XML cannot. */
  encoded: boolean
  page: ObjectPage
}

/** A page of ListObjectsV2. */
export function listXml(listing: Listing): string {
  const { page, encoded } = listing
  const key = (text: string): string => escapeXml(encoded ? encodeURIComponent(text).replaceAll('%2F', '/') : text)
  const contents = page.objects.map(
    (it) =>
      `<Contents><Key>${key(it.key)}</Key><LastModified>${it.uploaded.toISOString()}</LastModified><ETag>&quot;${escapeXml(it.etag)}&quot;</ETag><Size>${it.size}</Size><StorageClass>STANDARD</StorageClass></Contents>`,
  )
  const prefixes = page.delimitedPrefixes.map((it) => `<CommonPrefixes><Prefix>${key(it)}</Prefix></CommonPrefixes>`)
  return [
    `${HEAD}<ListBucketResult ${NAMESPACE}>`,
    `<Name>${escapeXml(listing.bucketName)}</Name>`,
    `<Prefix>${key(listing.prefix)}</Prefix>`,
    listing.delimiter && `<Delimiter>${key(listing.delimiter)}</Delimiter>`,
    encoded && '<EncodingType>url</EncodingType>',
    listing.startAfter && `<StartAfter>${key(listing.startAfter)}</StartAfter>`,
    listing.token && `<ContinuationToken>${escapeXml(listing.token)}</ContinuationToken>`,
    `<MaxKeys>${listing.maxKeys}</MaxKeys>`,
    `<KeyCount>${contents.length + prefixes.length}</KeyCount>`,
    `<IsTruncated>${page.truncated}</IsTruncated>`,
    page.truncated && `<NextContinuationToken>${escapeXml(page.cursor)}</NextContinuationToken>`,
    ...contents,
    ...prefixes,
    '</ListBucketResult>',
  ]
    .filter(Boolean)
    .join('')
}

/** The region: none, which is how S3 says `us-east-1`. */
export function locationXml(): string {
  return `${HEAD}<LocationConstraint ${NAMESPACE}></LocationConstraint>`
}

/** An error, with the code that clients look at. */
export function errorXml(code: string, message: string, resource: string): string {
  return `${HEAD}<Error><Code>${code}</Code><Message>${escapeXml(message)}</Message><Resource>${escapeXml(resource)}</Resource></Error>`
}

/** Text that is safe in XML. Control characters, which XML 1.0 has no way to write, become U+FFFD. */
function escapeXml(text: string): string {
  let out = ''
  for (const char of text) {
    const code = char.codePointAt(0)!
    const forbidden = (code < 0x20 && code !== 9 && code !== 10 && code !== 13) || code === 0xfffe || code === 0xffff
    out += forbidden ? '\ufffd' : (entities[char] ?? char)
  }
  return out
}

// The carriage return is written as a reference: parsers turn a bare one into a newline.
const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\r': '&#13;' }
