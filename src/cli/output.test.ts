import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createOutput, type TextStream, tableLines } from './output.ts';
import { columnsOf, printable, shortened } from './printable.ts';
import { progressBar } from './progress.ts';

function recorder(shape: { isTTY?: boolean; columns?: number } = {}) {
  let text = '';
  const stream: TextStream = {
    ...shape,
    write(more) {
      text += more;
    },
  };
  return { stream, text: () => text };
}

function outputOn(given: { tty?: boolean; json?: boolean; environment?: Record<string, string> } = {}) {
  const out = recorder({ isTTY: given.tty ?? false, columns: 60 });
  const err = recorder({ isTTY: given.tty ?? false, columns: 60 });
  const time = { ms: 0 };
  const output = createOutput({
    stdout: out.stream,
    stderr: err.stream,
    environment: given.environment ?? {},
    json: given.json ?? false,
    nowMs: () => time.ms,
  });
  return { output, out: out.text, err: err.text, time };
}

describe('what is shown', () => {
  it('keeps results and remarks apart', () => {
    const { output, out, err } = outputOn();
    output.line('result');
    output.note('remark');
    output.fail('reason');
    output.result({ never: 'shown' });
    expect(out()).toBe('result\n');
    expect(err()).toBe('remark\nreason\n');
  });

  it('is one JSON object with --json, also when it fails', () => {
    const ok = outputOn({ json: true });
    ok.output.line('not this');
    ok.output.table(['nor'], [['this']]);
    ok.output.result({ count: 3n });
    expect(JSON.parse(ok.out())).toEqual({ count: '3' });

    const failed = outputOn({ json: true });
    failed.output.fail('no server', { code: 'unreachable' });
    expect(JSON.parse(failed.out())).toEqual({ error: { message: 'no server', code: 'unreachable' } });
  });

  it('has colours on a terminal only, and not when NO_COLOR is set', () => {
    expect(outputOn({ tty: true }).output.paint('bad', 'x')).toBe('\u001b[31mx\u001b[0m');
    expect(outputOn({ tty: true, environment: { NO_COLOR: '1' } }).output.paint('bad', 'x')).toBe('x');
    expect(outputOn({ tty: true, environment: { TERM: 'dumb' } }).output.paint('bad', 'x')).toBe('x');
    expect(outputOn().output.paint('bad', 'x')).toBe('x');
  });

  it('never passes on what a terminal would obey', () => {
    const hostile = 'a\u001b]0;owned\u0007b\u001b[2Jc\u009b31md\rhidden';
    const { output, out } = outputOn({ tty: true });
    output.line(output.paint('good', hostile));
    output.write(hostile);
    const withoutOurColours = out().replaceAll('\u001b[32m', '').replaceAll('\u001b[0m', '');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for.
    expect(withoutOurColours).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });

  it('leaves ordinary text of any script as it is', () => {
    const text = 'Grüße, 東京\tтест 🎉\nnext';
    expect(printable(text)).toBe(text);
    expect(printable(text, { keepColours: true })).toBe(text);
  });
});

describe('a table', () => {
  it('lines its columns up', () => {
    expect(
      tableLines(
        ['id', 'name'],
        [
          ['1', 'first'],
          ['20', ''],
        ],
      ),
    ).toEqual(['id  name', '1   first', '20']);
  });
});

describe('progress', () => {
  it('redraws one line on a terminal, ten times a second at most', () => {
    const { output, err, time } = outputOn({ tty: true });
    const progress = output.progress('Working', 1_000);
    for (let done = 1; done <= 1_000; done++) {
      time.ms += 1;
      progress.update(done);
    }
    expect(err().split('\r').length - 1).toBeLessThanOrEqual(11);
    expect(err()).not.toContain('\n');
    progress.end();
    expect(err().endsWith('\r\u001b[K')).toBe(true);
  });

  it('writes few plain lines elsewhere, and always the last state', () => {
    const { output, err, time } = outputOn();
    const progress = output.progress('Working', 1_000);
    for (let done = 1; done <= 1_000; done++) {
      time.ms += 10;
      progress.update(done, 'file');
    }
    progress.end();
    const lines = err().trimEnd().split('\n');
    expect(lines).toEqual([
      'Working: 1 of 1000 (0 %)',
      'Working: 501 of 1000 (50 %)',
      'Working: 1000 of 1000 (100 %)',
    ]);
  });

  it('makes way for lines said meanwhile', () => {
    const { output, err } = outputOn({ tty: true });
    const progress = output.progress('Working', 2);
    progress.update(1);
    output.note('by the way');
    expect(err().endsWith('\r\u001b[Kby the way\n')).toBe(true);
  });

  it('never wraps, whatever it is called and whatever it works on', () => {
    const anything = fc.string({ unit: 'grapheme', maxLength: 60 });
    fc.assert(
      fc.property(
        anything,
        fc.nat(),
        fc.nat(),
        anything,
        fc.integer({ min: 1, max: 200 }),
        (what, done, total, detail, columns) => {
          expect(columnsOf(progressBar(what, done, total, detail, columns))).toBeLessThanOrEqual(columns);
          expect(columnsOf(shortened(what, columns))).toBeLessThanOrEqual(columns);
        },
      ),
    );
  });

  it('says 100 % only when everything is done', () => {
    expect(progressBar('x', 999, 1000, '', 80)).toContain('99 %');
    expect(progressBar('x', 0, 0, '', 80)).toContain('100 %');
  });
});
