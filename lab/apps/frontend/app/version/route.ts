import { identity } from '../../lib/backends';

export const dynamic = 'force-dynamic';

export function GET() {
  return Response.json(identity);
}
