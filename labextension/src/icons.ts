import { LabIcon } from '@jupyterlab/ui-components';

/** Three bars of a price chart. */
export const barsIcon = new LabIcon({
  name: 'jupyter-nq:bars',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="#616161">
    <path d="M5 6h2v3h1.5v8H7v3H5v-3H3.5V9H5z"/>
    <path d="M11 3h2v3h1.5v7H13v3h-2v-3H9.500V6H11z"/>
    <path d="M17 8h2v3h1.500v6H19v4h-2v-4h-1.500v-6H17z"/>
  </g>
</svg>`
});
