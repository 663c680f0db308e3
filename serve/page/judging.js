// The HTTP side: asks POST /v1/judge and follows its lines; has results drawn. Knows nothing of the page.

export class Problem extends Error {
  constructor(message, { hint = "", code = "", requestId = "", retryAfter = "" } = {}) {
    super(message);
    Object.assign(this, { hint, code, requestId, retryAfter });
  }
}

const BROKEN_OFF = "The answer broke off before it was complete.";

/** Yields the lines of type `verdict`; anything that ends the stream otherwise than complete is a `Problem`. */
export async function* judge(file, options, key, signal) {
  const { text, ...rest } = options;
  const media = { data: await dataUrl(file), name: file.name.slice(0, 200), ...(text && { text }) };
  const response = await post("v1/judge", { ...rest, stream: true, explain: true, media: [media] }, key, signal);
  const requestId = response.headers.get("X-Request-Id") ?? "";
  for await (const line of lines(response, requestId)) {
    if (line.type === "done") return;
    if (line.type === "error") throw told(line.error, requestId);
    yield { line, requestId };
  }
  throw new Problem(BROKEN_OFF, { hint: "judge it again", requestId });
}

/** The HTML of a result, made and escaped by the service. */
export async function draw(result, key, signal) {
  return (await post("page/verdict", result, key, signal)).text();
}

async function post(path, body, key, signal) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal, credentials: "omit" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem("The service cannot be reached.", { hint: "check the connection, then judge again" });
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function* lines(response, requestId) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      for (const part of parts) if (part.trim()) yield JSON.parse(part);
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(BROKEN_OFF, { hint: "judge it again", requestId });
  }
}

async function refusal(response) {
  const requestId = response.headers.get("X-Request-Id") ?? "";
  const retryAfter = response.headers.get("Retry-After") ?? "";
  try {
    return told((await response.json()).error, requestId, retryAfter);
  } catch {
    return new Problem(`The service answered ${response.status}.`, { requestId, retryAfter });
  }
}

function told(error, requestId, retryAfter = "") {
  const named = { hint: error.hint, code: error.code, requestId: error.request_id || requestId, retryAfter };
  return new Problem(error.message, named);
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.includes(",") ? reader.result : "data:,");
    reader.onerror = () => reject(new Problem("The file cannot be read.", { hint: "choose it again" }));
    reader.readAsDataURL(file);
  });
}
