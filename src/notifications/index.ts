import type { Routes } from '../platform/api.ts';
import { channelRoutes } from './channels.routes.ts';
import { deliveryRoutes } from './deliveries.routes.ts';
import type { Notifier } from './notifications.service.ts';

export { createAddressGuard } from './address-guard.ts';
export { createGuardedPost } from './guarded-post.ts';
export type { NotificationEvent, Notify, Severity, Told } from './notification-event.ts';
export { createNotifier, type Notifier, type NotifierDependencies } from './notifications.service.ts';
export { createNotify } from './notify.ts';
export { sealedNotificationColumns } from './sealed-columns.ts';
export { newSigningSecret, signedHeaders } from './webhook-message.ts';

export function notificationRoutes(notifier: Notifier): Routes {
  return (api) => {
    channelRoutes(notifier)(api);
    deliveryRoutes(notifier)(api);
  };
}
