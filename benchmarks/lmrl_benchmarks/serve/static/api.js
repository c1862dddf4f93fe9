// The server's JSON interface.

export class Refused extends Error {
  constructor(status, values) {
    super(values.error || "The server answered something that cannot be read.");
    this.status = status;
    this.retry = Boolean(values.retry) || status === 0 || status === 429 || status === 503;
  }
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  } catch {
    throw new Refused(0, { error: "The server cannot be reached; it may have been stopped." });
  }
  let values = {};
  try {
    values = await response.json();
  } catch {
    throw new Refused(response.status, {});
  }
  if (!response.ok) throw new Refused(response.status, values);
  return values;
}

export const get = path => ask(path);
export const post = (path, values = {}) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(values) });
