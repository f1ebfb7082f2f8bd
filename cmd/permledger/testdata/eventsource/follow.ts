// Who may do what to one client, kept in a file: a snapshot first, then each change as it happens. When it is started
// again it goes on where the file ends. Each line that it prints is what the file holds then.
//
//   node follow.js http://127.0.0.1:7420 acme client:c1 state.json

import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { EventSource } from 'eventsource'

interface Change {
  cursor?: string // none in a snapshot, and where others of the same event follow that belong before it
  seq: number
  at: string
  kind: 'gained' | 'lost'
  subject: string
  resource: string
  actions: string[]
  valid_until: string | null
  cause?: { seq: number; type: string; actor: string; of?: number }
}

interface State {
  cursor: string // "": nothing yet
  may: Record<string, string[]> // "subject resource": the actions, sorted
}

const [url, org, about, file] = process.argv.slice(2)
if (!url || !org || !about || !file) {
  console.error('usage: node follow.js URL ORG RESOURCE STATE-FILE')
  process.exit(2)
}

let state: State = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { cursor: '', may: {} }
let pending: Change[] = [] // of an event, or a snapshot, that is not whole yet
let fails = 0

/** Applies what is pending and stores it together with the cursor: both or neither. */
function apply(event: string, cursor: string, may: State['may']) {
  for (const change of pending) {
    const key = `${change.subject} ${change.resource}`
    const actions = new Set(may[key])
    for (const action of change.actions) {
      if (change.kind === 'gained') actions.add(action)
      else actions.delete(action)
    }
    if (actions.size > 0) may[key] = [...actions].sort()
    else delete may[key]
  }
  pending = []
  state = { cursor, may }
  writeFileSync(`${file}.new`, JSON.stringify(state))
  renameSync(`${file}.new`, file)
  console.log(JSON.stringify({ event, ...state }))
}

function connect() {
  const query = new URLSearchParams({ about, snapshot: 'true' })
  if (state.cursor) query.set('after', state.cursor)
  const source = new EventSource(`${url}/orgs/${org}/changes?${query}`)

  // An EventSource comes back by itself, with the id of the last event that it had. What had no id comes again then.
  source.addEventListener('open', () => {
    fails = 0
    pending = pending.filter((change) => change.cursor)
  })

  const changed = (event: MessageEvent<string>) => {
    const change: Change = JSON.parse(event.data)
    pending.push(change)
    // "42" is behind all changes of event 42, "42.3" in the middle of them: those of one event are applied together.
    if (change.cursor && !change.cursor.includes('.')) apply('changes', change.cursor, { ...state.may })
  }
  source.addEventListener('gained', changed)
  source.addEventListener('lost', changed)

  source.addEventListener('snapshot_end', (event) => apply('snapshot_end', JSON.parse(event.data).cursor, {}))
  source.addEventListener('checkpoint', (event) => apply('checkpoint', JSON.parse(event.data).cursor, { ...state.may }))

  // Where the cursor can't be gone on from, a snapshot follows on the same connection.
  source.addEventListener('must_refetch', () => {
    pending = []
  })

  // After an answer other than 200 it does not come back by itself. What the service refuses it refuses again; else it is
  // asked again, later each time.
  source.addEventListener('error', (event) => {
    if (source.readyState !== EventSource.CLOSED) return
    const status = event.code ?? 0
    if (status >= 400 && status < 500 && status !== 408 && status !== 429) {
      console.error(`the service answers ${status}`)
      process.exit(1)
    }
    pending = []
    setTimeout(connect, Math.min(30_000, 100 * 2 ** fails++) * (0.5 + Math.random() / 2))
  })
}

connect()
