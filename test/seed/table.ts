// The table that the fragments call `iceberg`.
import { env } from 'cloudflare:workers'
import { IcebergWriter } from 'dotdo'

export const iceberg = new IcebergWriter({ bucket: (env as unknown as { R2_BUCKET: R2Bucket }).R2_BUCKET, namespace: 'seed', tableName: 'events' })
