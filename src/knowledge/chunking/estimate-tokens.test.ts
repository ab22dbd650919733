import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { countTokens } from 'gpt-tokenizer/encoding/o200k_base';
import { describe, expect, it } from 'vitest';
import { estimateMilliTokens, estimateTokens, fittingEnd } from './estimate-tokens.ts';

const english =
  'The order is delivered within fourteen days after we have received the payment. The customer bears the cost of ' +
  'returning the goods unless they were damaged in transit. For questions, please contact our customer service, which is available on weekdays.';
const numbers =
  'id,name,amount,date\n1001,Widget,19.99,2025-03-01\n1002,Gadget,249.00,2025-03-02\n1003,Sprocket,3.50,2025-03-05\n';
const ordinary: Record<string, string> = {
  english,
  'upper case': english.toUpperCase(),
  german:
    'Die Lieferung erfolgt innerhalb von vierzehn Tagen nach Eingang der Bestellung. Für Rücksendungen übernehmen wir keine Kosten, außer wenn die Ware beschädigt geliefert wurde.',
  french:
    'La commande est livrée dans un délai de quatorze jours après réception du paiement. Les frais de retour restent à la charge du client, sauf si la marchandise a été endommagée.',
  numbers: numbers.repeat(4),
  code: readFileSync(new URL('./structured-lines.ts', import.meta.url), 'utf8'),
};
const otherScripts: Record<string, string> = {
  russian:
    'Заказ доставляется в течение четырнадцати дней после получения оплаты. Расходы на возврат несёт покупатель.',
  chinese:
    '订单将在收到付款后十四天内送达。退货费用由客户承担，除非货物在运输过程中受损。如有任何疑问，请联系我们。',
  japanese:
    'ご注文の商品は、お支払いの確認後十四日以内にお届けします。返品にかかる費用は、お客様のご負担となります。',
  korean: '주문하신 상품은 결제 확인 후 십사 일 이내에 배송됩니다. 반품 비용은 고객님께서 부담하셔야 합니다.',
  arabic:
    'يتم تسليم الطلب خلال أربعة عشر يومًا من استلام الدفعة. يتحمل العميل تكاليف الإرجاع ما لم تتضرر البضاعة.',
  hindi: 'भुगतान प्राप्त होने के चौदह दिनों के भीतर ऑर्डर वितरित किया जाता है। वापसी का खर्च ग्राहक को वहन करना होगा।',
};

describe('estimateTokens', () => {
  it.each(Object.entries(ordinary))('is within 15 %% of the o200k count of %s', (_, text) => {
    const ratio = estimateTokens(text) / countTokens(text);
    expect(ratio).toBeGreaterThan(0.85);
    expect(ratio).toBeLessThan(1.15);
  });

  it.each(Object.entries(otherScripts))('is within 25 %% of the o200k count of %s', (_, text) => {
    const ratio = estimateTokens(text) / countTokens(text);
    expect(ratio).toBeGreaterThan(0.75);
    expect(ratio).toBeLessThan(1.25);
  });

  it('counts nothing as nothing and anything as something', () => {
    expect(estimateTokens('')).toBe(0);
    expect(estimateTokens(' ')).toBe(1);
  });

  it('never counts two parts that meet at white space as less than the whole', () => {
    const text = fc.string({ unit: 'binary', maxLength: 60 });
    fc.assert(
      fc.property(text, text, (one, other) => {
        const whole = `${one} ${other.trimStart()}`;
        const cut = one.length + 1;
        expect(estimateMilliTokens(whole)).toBeLessThanOrEqual(
          estimateMilliTokens(whole, 0, cut) + estimateMilliTokens(whole, cut),
        );
      }),
    );
  });
});

describe('fittingEnd', () => {
  it('goes as far as the size allows and no further', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', minLength: 1, maxLength: 80 }),
        fc.integer({ min: 0, max: 20_000 }),
        (text, size) => {
          const end = fittingEnd(text, 0, text.length, size);
          const first = String.fromCodePoint(text.codePointAt(0) ?? 0).length;
          expect(end).toBeGreaterThanOrEqual(first);
          if (end > first) expect(estimateMilliTokens(text, 0, end)).toBeLessThanOrEqual(size);
          if (end < text.length) {
            const next = end + String.fromCodePoint(text.codePointAt(end) ?? 0).length;
            expect(estimateMilliTokens(text, 0, next)).toBeGreaterThan(size);
          }
        },
      ),
    );
  });
});
