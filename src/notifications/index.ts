export type { NotificationEvent, Notify, Severity, Told } from './notification-event.ts';
export { createNotify } from './notify.ts';
