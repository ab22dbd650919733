import { AppError } from '../../platform/errors.ts';
import type { Principal } from '../principal.ts';

/**
 * A caller whose key or tenant names the addresses it may be used from is refused elsewhere, whatever it asks for. An owner
 * at work in a tenant is not one of the tenant's own, so only the list of the owner's key counts.
 * @param address as trusted proxies tell it.
 * @throws AppError `forbidden`.
 */
export function refuseForeignAddress(principal: Principal, address: string): void {
  const ofTenant = principal.actsInNamedTenant ? undefined : principal.tenant.addresses;
  if (principal.addresses === undefined && ofTenant === undefined) return;
  if (principal.addresses?.has(address) === false) {
    throw new AppError('forbidden', 'This key may not be used from your address (its ip_allow_list).');
  }
  if (ofTenant?.has(address) === false) {
    throw new AppError('forbidden', 'This tenant may not be used from your address (its ip_allow_list).');
  }
}

/** A key that is restricted itself would get around that by keys it makes or changes. @throws AppError `forbidden`. */
export function refuseRestricted(principal: Principal): void {
  if (principal.addresses === undefined && principal.models === undefined) return;
  throw new AppError('forbidden', 'A key with an allow-list of its own makes and changes no keys.');
}

/**
 * @param asked the model as the caller named it.
 * @param targets `provider/model` of all that the name may lead to.
 * @throws AppError `forbidden` unless the key's list has the name, or everything that it may lead to.
 */
export function refuseForeignModel(
  principal: Principal,
  asked: string,
  targets: () => readonly string[],
): void {
  const { models } = principal;
  if (models === undefined || models.has(asked)) return;
  if (targets().every((target) => models.has(target))) return;
  throw new AppError('forbidden', `This key may not call "${asked.slice(0, 200)}" (its model_allow_list).`);
}
