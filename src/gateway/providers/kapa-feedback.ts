import { AppError } from '../../platform/errors.ts';
import type { SendFeedback } from '../feedback.ts';
import type { ProviderHttp } from './provider-http.ts';
import { keyHeader } from './provider-wire.ts';
import { traceHeaders } from './trace-headers.ts';

/** Kapa's feedback (https://docs.kapa.ai/api/reference/query-v-1-feedback-upsert); the last one of an answer counts. */
export function createKapaFeedback(http: ProviderHttp): SendFeedback {
  return ({ provider }, caller, { answerId, reaction, comment }) =>
    new Promise((resolve, reject) => {
      const body = JSON.stringify({
        question_answer_id: answerId,
        reaction,
        ...(comment === undefined ? {} : { comment }),
      });
      const headers = [
        'content-type',
        'application/json',
        ...keyHeader('x-api-key')(provider.keys[0] ?? null),
        ...traceHeaders(caller),
      ];
      let status = 0;
      http.send(
        provider,
        { path: '/query/v1/feedback/upsert/', headers, body },
        {
          head(given) {
            status = given;
          },
          data() {},
          end() {
            if (status < 300) return resolve();
            const message = `The provider "${provider.name}" did not take the feedback (${status}).`;
            reject(new AppError(status < 500 ? 'upstream_rejected' : 'upstream_failed', message));
          },
          failed({ cause }) {
            const message = `The connection to the provider "${provider.name}" failed.`;
            reject(new AppError('upstream_failed', message, { cause }));
          },
        },
      );
    });
}
