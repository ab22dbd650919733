import { z } from 'zod';
import { problemResponses, type Routes } from '../platform/api.ts';
import { nextCursor, pageOfUuids, pageQuery } from '../platform/page.ts';
import {
  channelBody,
  channelChangeBody,
  channelView,
  createdChannelView,
  deliveryView,
  secretBody,
  secretView,
} from './notifications.schema.ts';
import type { Notifier } from './notifications.service.ts';
import { showChannel, showDelivery } from './wire-form.ts';

const access = { permission: 'notifications:manage' } as const;
const tags = ['Notifications'];
const params = z.object({ id: z.string().max(100) });

export function channelRoutes(notifier: Notifier): Routes {
  return (api) => {
    api.post(
      '/notifications/channels',
      {
        config: { access },
        schema: {
          tags,
          summary: 'Set up a channel; the answer is the only place that shows its signing secret',
          body: channelBody,
          response: { 201: createdChannelView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { body } = request;
        const { row, secret } = await notifier.createChannel(request.principal, {
          name: body.name,
          kind: body.kind,
          target: body.kind === 'pagerduty' ? body.routing_key : body.url,
          signingSecret: body.kind === 'webhook' ? (body.signing_secret ?? null) : null,
          eventKinds: body.event_kinds,
          minSeverity: body.min_severity,
          enabled: body.enabled,
        });
        return reply.code(201).send({ ...showChannel(row), signing_secret: secret });
      },
    );

    api.get(
      '/notifications/channels',
      {
        config: { access },
        schema: {
          tags,
          summary: 'List channels, newest first',
          querystring: pageQuery,
          response: {
            200: z.object({ channels: z.array(channelView), next_cursor: z.string().nullable() }),
            ...problemResponses,
          },
        },
      },
      async (request) => {
        const rows = await notifier.channels(request.principal, pageOfUuids(request.query));
        return { channels: rows.map(showChannel), next_cursor: nextCursor(rows, request.query.limit) };
      },
    );

    api.get(
      '/notifications/channels/:id',
      {
        config: { access },
        schema: {
          tags,
          summary: 'Show a channel',
          params,
          response: { 200: channelView, ...problemResponses },
        },
      },
      async (request) => showChannel(await notifier.channel(request.principal, request.params.id)),
    );

    api.patch(
      '/notifications/channels/:id',
      {
        config: { access },
        schema: {
          tags,
          summary: 'Change a channel; what is not given stays',
          params,
          body: channelChangeBody,
          response: { 200: channelView, ...problemResponses },
        },
      },
      async (request) => {
        const { body } = request;
        return showChannel(
          await notifier.changeChannel(request.principal, request.params.id, {
            name: body.name,
            url: body.url,
            routingKey: body.routing_key,
            eventKinds: body.event_kinds,
            minSeverity: body.min_severity,
            enabled: body.enabled,
          }),
        );
      },
    );

    api.delete(
      '/notifications/channels/:id',
      {
        config: { access },
        schema: {
          tags,
          summary: 'Delete a channel with its deliveries',
          params,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        await notifier.deleteChannel(request.principal, request.params.id);
        return reply.code(204).send(null);
      },
    );

    api.post(
      '/notifications/channels/:id/secret',
      {
        config: { access },
        schema: {
          tags,
          summary: 'Give a webhook a new signing secret; the one before goes on signing for a while',
          params,
          body: secretBody,
          response: { 201: secretView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { secret, previousValidUntil } = await notifier.replaceSecret(
          request.principal,
          request.params.id,
          request.body.grace_seconds,
          request.body.signing_secret ?? null,
        );
        return reply
          .code(201)
          .send({ signing_secret: secret, previous_valid_until: previousValidUntil.toISOString() });
      },
    );

    api.post(
      '/notifications/channels/:id/test',
      {
        config: { access, audited: { deed: 'notification_channel.tested' } },
        schema: {
          tags,
          summary: 'Send a test message to a channel',
          params,
          response: { 202: deliveryView, ...problemResponses },
        },
      },
      async (request, reply) =>
        reply.code(202).send(showDelivery(await notifier.testChannel(request.principal, request.params.id))),
    );
  };
}
