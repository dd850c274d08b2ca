import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'pure',
          include: ['packages/dotdo/test/**/*.test.ts'],
          exclude: ['packages/dotdo/test/object/**'],
        },
      },
    ],
  },
})
