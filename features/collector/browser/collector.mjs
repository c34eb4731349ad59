// What does this browser look like? Collects signals, signs them with a token of the server, and
// gives the page one text to send with its event. It stores nothing, and asks no host but the one
// it was loaded from (or the token address that the page names).
import { collect as collectBot, detect, detectors, sources as botSources } from '@fingerprintjs/botd'
import { loadSources, prepareForSources, sources } from '@fingerprintjs/fingerprintjs'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'

const FORMAT = '1'
const MAX_TEXT = 256
const MAX_AGENT = 512
const script = document.currentScript
const encoder = new TextEncoder()

const text = (value, most = MAX_TEXT) => (typeof value === 'string' ? value.slice(0, most) : null)
const whole = (value) => (Number.isInteger(value) ? value : null)
const flag = (value) => (typeof value === 'boolean' ? value : null)
const texts = (value) => (Array.isArray(value) ? value.flat().filter((each) => typeof each === 'string') : null)

function base64url(bytes) {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')
}

function bytesOf(base64) {
  const binary = atob(base64.replace(/-/g, '+').replace(/_/g, '/'))
  return Uint8Array.from(binary, (each) => each.charCodeAt(0))
}

/** A short name of a long text, such as a drawn image. */
const digest = (value) => base64url(sha256(encoder.encode(value)).slice(0, 12))

/** Gives what `promise` gives, or null when it fails or takes longer than `timeoutMs`. */
const within = (promise, timeoutMs) =>
  Promise.race([
    promise.catch(() => null),
    new Promise((resolve) => {
      setTimeout(() => resolve(null), timeoutMs)
    }),
  ])

async function values(timeoutMs) {
  await prepareForSources()
  const cache = {}
  const found = {}
  await Promise.all(
    Object.keys(sources).map(async (name) => {
      const load = loadSources({ [name]: sources[name] }, { cache }, [])
      const loaded = await within(load(), timeoutMs)
      found[name] = loaded?.[name]?.value
    }),
  )
  return found
}

async function bots(timeoutMs) {
  const components = await within(collectBot(botSources), timeoutMs)
  if (!components) return null
  const [detections] = detect(components, detectors)
  return Object.keys(detections).filter((name) => detections[name].bot)
}

function imagesOf(canvas) {
  const images = [canvas?.geometry, canvas?.text]
  return images.every((each) => each?.startsWith('data:')) ? images.map(digest) : null
}

const gpuOf = (basics) =>
  basics?.rendererUnmasked || basics?.renderer
    ? [text(basics.vendorUnmasked || basics.vendor), text(basics.rendererUnmasked || basics.renderer)]
    : null

async function signals(timeoutMs) {
  const [found, bot] = await Promise.all([values(timeoutMs), bots(timeoutMs)])
  const languages = texts(found.languages)
  return {
    agent: text(navigator.userAgent, MAX_AGENT),
    platform: text(found.platform, 64),
    agent_platform: text(found.userAgentData?.platform, 64),
    agent_mobile: flag(found.userAgentData?.mobile),
    vendor: text(found.vendor, 64),
    languages: languages && [...new Set(languages)].slice(0, 16).map((each) => each.slice(0, 35)),
    timezone: text(found.timezone, 64),
    offset_minutes: whole(0 - new Date().getTimezoneOffset()),
    screen: found.screenResolution?.every(Number.isInteger) ? found.screenResolution : null,
    color_depth: whole(found.colorDepth),
    touch_points: whole(found.touchSupport?.maxTouchPoints),
    cores: whole(found.hardwareConcurrency),
    memory_gb: typeof found.deviceMemory === 'number' ? found.deviceMemory : null,
    architecture: whole(found.architecture),
    gpu: gpuOf(found.webGlBasics),
    canvas: imagesOf(found.canvas),
    // Special values below 0 say why there is no sound.
    audio: found.audio > 0 ? String(found.audio) : null,
    fonts: Array.isArray(found.fonts) ? found.fonts : null,
    adds_noise: Boolean(navigator.brave),
    bot,
  }
}

async function tokenFrom(address, timeoutMs) {
  const stop = new AbortController()
  const timer = setTimeout(() => stop.abort(), timeoutMs)
  try {
    const answer = await fetch(address, { credentials: 'omit', cache: 'no-store', signal: stop.signal })
    return answer.ok ? (await answer.json()).token : null
  } catch {
    return null
  } finally {
    clearTimeout(timer)
  }
}

let remembered = null

/**
 * Gives one text for `device.fingerprint` of one event; ask again for the next event. Never rejects.
 *
 * Options: `token` (one that your server fetched), `tokenUrl` (default: beside this script), and
 * `timeoutMs` (default 1500), after which what is not known yet is left out.
 */
async function collect({ token, tokenUrl, timeoutMs = 1500 } = {}) {
  try {
    const address = tokenUrl || (script?.src ? new URL('collector/token', script.src) : '/v1/collector/token')
    remembered ||= signals(timeoutMs)
    const [found, given] = await Promise.all([remembered, token || tokenFrom(address, timeoutMs)])
    const [head, secret] = (given || '').split('.')
    const body = base64url(encoder.encode(JSON.stringify(found)))
    const signed = `${FORMAT}.${secret ? head : ''}.${body}`
    const signature = secret ? base64url(hmac(sha256, bytesOf(secret), encoder.encode(signed))) : ''
    return `${signed}.${signature}`
  } catch {
    remembered = null
    return ''
  }
}

window.TouchstoneCollector = Object.freeze({ collect })
