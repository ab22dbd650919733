#!/usr/bin/env node
// As in gatehouse.mjs: must load on a Node that is too old, to say so.
import('./node-version.mjs').then((version) => {
  if (!version.isNodeRecentEnough()) return;
  import('./run-tests.mjs').then((tests) => {
    tests.runTests();
  });
});
