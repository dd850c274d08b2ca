import { livesOf } from './lives.ts'

livesOf(4)
