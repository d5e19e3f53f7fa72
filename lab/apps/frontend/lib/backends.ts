import { headers } from 'next/headers';

const NEST_URL = process.env.NEST_URL || 'http://nest:3000';
const FASTAPI_URL = process.env.FASTAPI_URL || 'http://fastapi:8000';
const CALL_TIMEOUT = 2000;
const JOB_TIMEOUT = 2000;

export interface Identity {
  app: string;
  version: string;
  colour: string;
}

export interface Search {
  embedding: string;
  results: { id: number; title: string; text: string; similarity: number }[];
}

export interface Job {
  id: string;
  state: 'queued' | 'done' | 'failed';
  words?: number;
  characters?: number;
  sha256?: string;
  waited_ms?: number;
  by?: Identity;
}

/** A backend's answer and who gave it, or why there is none: a page without one of its parts is still a page. */
export type Answer<T> = { data: T; from: Identity } | { error: string };

export const identity: Identity = {
  app: 'frontend',
  version: process.env.APP_VERSION || 'dev',
  colour: process.env.APP_COLOUR || 'none',
};

export function search(question: string): Promise<Answer<Search>> {
  return answer('fastapi', () => call('fastapi', `${FASTAPI_URL}/search?q=${encodeURIComponent(question)}`));
}

/** Queues a job and waits a moment for its result. */
export function runJob(text: string): Promise<Answer<Job>> {
  return answer('nest', async () => {
    const deadline = Date.now() + JOB_TIMEOUT;
    let job = await call<Job>('nest', `${NEST_URL}/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ text }),
    });
    while (job.data.state === 'queued' && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      job = await call<Job>('nest', `${NEST_URL}/jobs/${job.data.id}`);
    }
    return job;
  });
}

async function call<T>(app: string, url: string, init: RequestInit = {}): Promise<{ data: T; from: Identity }> {
  const requestId = (await headers()).get('x-request-id');
  const response = await fetch(url, {
    ...init,
    headers: { ...init.headers, ...(requestId && { 'x-request-id': requestId }) },
    cache: 'no-store',
    signal: AbortSignal.timeout(CALL_TIMEOUT),
  });
  const data = await response.json();
  if (!response.ok) throw new Error(`${app} answered ${response.status}: ${explain(data)}`);
  return {
    data,
    from: {
      app,
      version: response.headers.get('x-app-version') ?? 'unknown',
      colour: response.headers.get('x-app-colour') ?? 'none',
    },
  };
}

function explain({ message, detail }: { message?: unknown; detail?: unknown }): string {
  const reason = message ?? detail;
  return typeof reason === 'string' ? reason : 'no reason given.';
}

async function answer<T>(app: string, ask: () => Promise<{ data: T; from: Identity }>): Promise<Answer<T>> {
  try {
    return await ask();
  } catch (error) {
    console.error(`${app}: ${error}`);
    const answered = error instanceof Error && error.message.startsWith(`${app} answered`);
    return { error: answered ? error.message : `${app} does not answer.` };
  }
}
