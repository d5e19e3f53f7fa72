import { Injectable, Logger, OnApplicationShutdown, OnModuleInit, ServiceUnavailableException } from '@nestjs/common';
import { createClient } from '@redis/client';
import { config } from './config.js';

const STREAM = 'jobs';
/** With no worker the queue must not fill Redis, which never evicts here. */
const MAXIMUM_QUEUED = 10_000;

export interface Job {
  text: string;
  seconds: number;
}

export interface JobState {
  id: string;
  state: 'queued' | 'done' | 'failed';
  [result: string]: unknown;
}

/** Jobs wait in a stream; the worker leaves each result at `jobs:<id>` and takes the entry off the stream. */
@Injectable()
export class QueueService implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger('redis');
  private readonly client = createClient({
    socket: { host: config.redis.host, port: config.redis.port, connectTimeout: 2000 },
    username: config.redis.username,
    password: config.redis.password,
    // Without Redis answer 503 at once, rather than hold requests until it is back.
    disableOfflineQueue: true,
    commandOptions: { timeout: 2000 },
  });
  private lastError = '';

  onModuleInit(): void {
    this.client.on('ready', () => {
      this.lastError = '';
      this.logger.log('Connected.');
    });
    this.client.on('error', (error: Error) => {
      // The client retries for ever; one line for each new reason is enough.
      const reason = error.message || String(error);
      if (reason !== this.lastError) this.logger.error(`Not connected: ${reason}`);
      this.lastError = reason;
    });
    // Not awaited: the app starts, and answers /health, without Redis.
    this.client.connect().catch((error: Error) => this.logger.error(error.message));
  }

  onApplicationShutdown(): void {
    this.client.destroy();
  }

  async reachable(): Promise<boolean> {
    return this.client.ping().then(
      () => true,
      () => false,
    );
  }

  async add(job: Job): Promise<string> {
    const queued = await this.answer(this.client.xLen(STREAM));
    if (queued >= MAXIMUM_QUEUED) throw new ServiceUnavailableException(`${queued} jobs wait already. Try later.`);
    return this.answer(this.client.xAdd(STREAM, '*', { text: job.text, seconds: String(job.seconds) }));
  }

  /** The job's state, or undefined where there is none of that id (any more). */
  async find(id: string): Promise<JobState | undefined> {
    // One transaction: between two reads the worker could move the job from the stream to its result.
    const [result, waiting] = await this.answer(
      this.client.multi().get(`${STREAM}:${id}`).xRange(STREAM, id, id).execTyped(),
    );
    if (typeof result === 'string') return { id, ...JSON.parse(result) };
    return waiting?.length ? { id, state: 'queued' } : undefined;
  }

  private answer<T>(command: Promise<T>): Promise<T> {
    return command.catch((error: Error) => {
      this.logger.error(error.message);
      throw new ServiceUnavailableException('Redis does not answer. Try again later.');
    });
  }
}
