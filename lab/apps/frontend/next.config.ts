import type { NextConfig } from 'next';

const config: NextConfig = {
  output: 'standalone',
  outputFileTracingRoot: import.meta.dirname,
  outputFileTracingIncludes: { '/*': ['preload.mjs'] },
  // No image is resized here, so the 30 MB of the image library stay out of the container.
  images: { unoptimized: true },
  outputFileTracingExcludes: { '*': ['node_modules/sharp/**', 'node_modules/@img/**'] },
  poweredByHeader: false,
  // One copy for preload.mjs and the /metrics route, or they would count into two registries.
  serverExternalPackages: ['prom-client'],
  // The root filesystem is read-only.
  experimental: { isrFlushToDisk: false },
};

export default config;
