export const dynamic = 'force-dynamic';

/** Whether this process lives: the page renders without its backends too. */
export function GET() {
  return Response.json({ status: 'ok' });
}
