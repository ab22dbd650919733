#!/usr/bin/env node
// As in gatehouse.mjs: must load on a Node that is too old, to say so.
import('./node-version.mjs').then((version) => {
  if (!version.isNodeRecentEnough()) return;
  import('./run-tool.mjs').then((tool) => {
    tool.runTool(process.argv.slice(2));
  });
});
