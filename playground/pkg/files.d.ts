export const PLAYGROUND: { digest: string; html: string; css: string; js: string };
