export const PLAYGROUND: {
  digest: string;
  html: string;
  css: string;
  svg: string;
  js: string;
};
