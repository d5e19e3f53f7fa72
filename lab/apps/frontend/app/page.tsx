import { type Answer, type Identity, identity, type Job, runJob, type Search, search } from '../lib/backends';

export const dynamic = 'force-dynamic';

const QUESTION = 'How does a cutover lose no request?';

interface Props {
  searchParams: Promise<{ q?: string | string[] }>;
}

export default async function Page({ searchParams }: Props) {
  const { q } = await searchParams;
  const question = [q].flat()[0]?.trim().slice(0, 200) || QUESTION;
  const [documents, job] = await Promise.all([search(question), runJob(question)]);

  return (
    <main>
      <header>
        <h1>protostar</h1>
        <p>One page, rendered on the server from what three apps and two stores answered just now.</p>
        <form>
          <input name="q" defaultValue={question} maxLength={200} aria-label="Question" />
          <button type="submit">Ask</button>
        </form>
      </header>
      <Documents answer={documents} />
      <QueuedJob answer={job} />
      <footer>
        <Badge app={identity} /> rendered this page on {`${new Date().toUTCString()}.`}
      </footer>
    </main>
  );
}

function Documents({ answer }: { answer: Answer<Search> }) {
  return (
    <section id="documents" data-state={'data' in answer ? 'ok' : 'down'}>
      <h2>Documents, by similarity</h2>
      {'error' in answer ? (
        <Down reason={answer.error} />
      ) : (
        <>
          <ol>
            {answer.data.results.map(({ id, title, text, similarity }) => (
              <li key={id}>
                <h3>
                  {title}
                  <meter value={Math.max(0, similarity)} title={`Similarity ${similarity.toFixed(2)}`} />
                </h3>
                <p>{text}</p>
              </li>
            ))}
          </ol>
          <p className="path">
            <Badge app={answer.from} /> {`← PostgreSQL + pgvector · ${answer.data.embedding}`}
          </p>
        </>
      )}
    </section>
  );
}

function QueuedJob({ answer }: { answer: Answer<Job> }) {
  return (
    <section id="job" data-state={'data' in answer ? answer.data.state : 'down'}>
      <h2>A job, queued and done</h2>
      {'error' in answer ? (
        <Down reason={answer.error} />
      ) : (
        <>
          <dl>
            <Fact name="Job" value={answer.data.id} />
            <Fact name="State" value={answer.data.state} />
            <Fact name="Words" value={answer.data.words} />
            <Fact name="Characters" value={answer.data.characters} />
            <Fact name="SHA-256" value={answer.data.sha256?.slice(0, 16)} />
            <Fact name="Waited, ms" value={answer.data.waited_ms} />
          </dl>
          <p className="path">
            <Badge app={answer.from} /> → Redis →{' '}
            {answer.data.by ? <Badge app={answer.data.by} /> : 'no worker has taken it yet'}
          </p>
        </>
      )}
    </section>
  );
}

function Fact({ name, value }: { name: string; value?: string | number }) {
  if (value === undefined) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Down({ reason }: { reason: string }) {
  return (
    <p className="down" role="status">
      {reason}
    </p>
  );
}

function Badge({ app }: { app: Identity }) {
  const colour = app.colour === 'none' ? '' : ` · ${app.colour}`;
  return <span className={`badge ${app.colour}`}>{`${app.app} ${app.version}${colour}`}</span>;
}
