/** An answer that is not the one asked for, with the server's own words where it has any. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

export type Params = Record<string, string | number | boolean | null | undefined>;

/** `path?name=value…`, leaving out what is null, undefined or empty. */
export function withParams(path: string, params: Params): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== '') search.set(name, String(value));
  }
  const text = search.toString();
  return text === '' ? path : `${path}?${text}`;
}

function errorOf(body: unknown): { code?: unknown; message?: unknown } | null {
  if (typeof body !== 'object' || body === null || !('error' in body)) return null;
  return typeof body.error === 'object' ? body.error : null;
}

export async function getJson<T>(path: string, params: Params, signal: AbortSignal): Promise<T> {
  const url = withParams(`/api/v1${path}`, params);
  let response: Response;
  try {
    response = await fetch(url, { signal, headers: { accept: 'application/json' } });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError('The server does not answer. Is `sae serve` still running?', 0, 'network');
  }
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) {
    const error = errorOf(body);
    const message =
      typeof error?.message === 'string'
        ? error.message
        : `The server answered ${response.status} ${response.statusText} to ${url}.`;
    const code = typeof error?.code === 'string' ? error.code : 'http';
    throw new ApiError(message, response.status, code);
  }
  if (body === null) throw new ApiError(`The answer to ${url} is not JSON.`, 0, 'not_json');
  return body as T;
}
