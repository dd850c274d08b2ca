import { livesOf } from './lives.ts'

livesOf(3)
