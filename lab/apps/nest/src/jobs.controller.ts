import { BadRequestException, Body, Controller, Get, HttpCode, NotFoundException, Param, Post } from '@nestjs/common';
import { Counter } from 'prom-client';
import { type Job, type JobState, QueueService } from './queue.service.js';

const queued = new Counter({ name: 'jobs_queued_total', help: 'Jobs put into the queue' });

@Controller('jobs')
export class JobsController {
  constructor(private readonly queue: QueueService) {}

  @Post()
  @HttpCode(202)
  async create(@Body() body: unknown): Promise<JobState> {
    const id = await this.queue.add(parse(body));
    queued.inc();
    return { id, state: 'queued' };
  }

  @Get(':id')
  async find(@Param('id') id: string): Promise<JobState> {
    const job = /^\d{1,16}-\d{1,6}$/.test(id) ? await this.queue.find(id) : undefined;
    if (!job) throw new NotFoundException(`There is no job ${id}. Results are kept for an hour.`);
    return job;
  }
}

function parse(body: unknown): Job {
  const { text, seconds = 0 } = (body ?? {}) as Record<string, unknown>;
  if (typeof text !== 'string' || !text.trim() || text.length > 2000) {
    throw new BadRequestException('text must be a string of 1 to 2000 characters.');
  }
  if (typeof seconds !== 'number' || !(seconds >= 0 && seconds <= 30)) {
    throw new BadRequestException('seconds must be a number from 0 to 30.');
  }
  return { text, seconds };
}
