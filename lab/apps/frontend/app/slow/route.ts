import { setTimeout as sleep } from 'node:timers/promises';
import type { NextRequest } from 'next/server';
import { identity } from '../../lib/backends';

export const dynamic = 'force-dynamic';

/** A request that takes its time: what a drain is tested with. */
export async function GET(request: NextRequest) {
  const seconds = Number(request.nextUrl.searchParams.get('seconds') ?? 3);
  if (!(seconds >= 0 && seconds <= 30)) {
    return Response.json({ message: 'seconds must be a number from 0 to 30.' }, { status: 400 });
  }
  await sleep(seconds * 1000);
  return Response.json({ slept: seconds, ...identity });
}
