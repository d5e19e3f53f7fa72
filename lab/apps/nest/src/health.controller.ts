import { BadRequestException, Controller, Get, Query, ServiceUnavailableException } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { identity } from './config.js';
import { QueueService } from './queue.service.js';
import { isStopping } from './shutdown.js';

@Controller()
export class HealthController {
  constructor(private readonly queue: QueueService) {}

  @Get('health')
  health() {
    return { status: 'ok' };
  }

  @Get('ready')
  async ready() {
    if (isStopping()) throw new ServiceUnavailableException({ status: 'stopping' });
    if (!(await this.queue.reachable())) throw new ServiceUnavailableException({ status: 'unready', redis: false });
    return { status: 'ready', redis: true };
  }

  @Get('version')
  version() {
    return identity;
  }

  /** A request that takes its time: what a drain is tested with. */
  @Get('slow')
  async slow(@Query('seconds') seconds = '3') {
    const duration = Number(seconds);
    if (!(duration >= 0 && duration <= 30)) throw new BadRequestException('seconds must be a number from 0 to 30.');
    await sleep(duration * 1000);
    return { slept: duration, ...identity };
  }
}
