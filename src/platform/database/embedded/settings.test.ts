import { describe, expect, it } from 'vitest';
import { authenticationFiles, serverArguments, serverSettings } from './settings.ts';

describe('serverSettings', () => {
  it('never listens on the network and never gives up durability', () => {
    expect(serverSettings('/data/run')).toMatchObject({
      listen_addresses: '',
      unix_socket_permissions: '0700',
      fsync: 'on',
      full_page_writes: 'on',
      synchronous_commit: 'on',
    });
  });

  it('quotes the socket directory, because PostgreSQL reads a list there', () => {
    expect(serverSettings('/a, "b"/run').unix_socket_directories).toBe('"/a, ""b""/run"');
  });

  it('becomes arguments of the server program', () => {
    expect(serverArguments('/data/postgres', { jit: 'off' })).toEqual([
      '-D',
      '/data/postgres',
      '-c',
      'jit=off',
    ]);
  });
});

describe('authenticationFiles', () => {
  it('lets in only the user who runs Gatehouse, vouched for by the kernel', () => {
    const files = authenticationFiles('o"brien');
    expect(files['pg_hba.conf']).toContain('local all all peer map=gatehouse');
    expect(files['pg_hba.conf']).not.toMatch(/trust|host/);
    expect(files['pg_ident.conf']).toContain('gatehouse "o""brien" all');
  });

  it('relies on the socket alone where the user has no name', () => {
    expect(authenticationFiles(null)['pg_hba.conf']).toContain('local all all trust');
  });
});
