// "Promise Pipelining (Cap'n Web)"
import { DO } from 'dotdo'

export const Stages = DO.extend({
  async pipelining(stages: { id: string }[], data: number[], id: string, batch: number[]) {
    // ❌ Sequential - N round-trips
    for (const stage of stages) {
      await this.Stage(stage.id).execute(data)
    }

    // ✅ Pipelined - fire and forget (side effects don't need await)
    stages.forEach(s => this.Stage(s.id).execute(data))

    // ✅ Pipelined - single round-trip for chained access
    const result = await this.Pipeline(id).getStage(0).run(batch)
    return result
  },
})

export const Stage = DO.extend({
  executed: [] as number[][],
  execute(data: number[]) {
    this.executed.push(data)
    return this.executed.length
  },
  history() {
    return this.executed
  },
})

/** The pipeline of the last line: its stages are objects of their own. */
export const Line = DO.extend({
  getStage(n: number) {
    return this.Doubler(`stage ${n}`)
  },
})

export const Doubler = DO.extend({
  run(batch: number[]) {
    return batch.map((value) => value * 2)
  },
})
