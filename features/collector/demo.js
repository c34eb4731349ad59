// The page of demo.html: collects, asks the demo's server what it makes of it, and shows both.
const bytesOf = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (each) => each.charCodeAt(0))

function show(id, values) {
  const rows = Object.entries(values).map(([name, value]) => {
    const row = document.createElement('tr')
    const shown = Array.isArray(value) ? value.join(', ') || '(none)' : String(value ?? '(not told)')
    for (const [kind, text] of [['th', name], ['td', shown]]) {
      row.appendChild(document.createElement(kind)).textContent = text
    }
    return row
  })
  document.getElementById(id).replaceChildren(...rows)
}

async function run() {
  const started = performance.now()
  const fingerprint = await window.TouchstoneCollector.collect()
  const ms = Math.round(performance.now() - started)
  const answer = await fetch('/demo/read', { method: 'POST', body: fingerprint })
  const body = new TextDecoder().decode(bytesOf(fingerprint.split('.')[2]))
  show('facts', await answer.json())
  show('signals', JSON.parse(body))
  document.getElementById('size').textContent = `${fingerprint.length} characters, collected in ${ms} ms`
  document.getElementById('fingerprint').textContent = fingerprint
  document.body.dataset.done = 'yes'
}

document.getElementById('again').addEventListener('click', run)
run()
