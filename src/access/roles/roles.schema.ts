import { z } from 'zod';
import { permissions } from '../permissions.ts';

/** The name of any role, built in or a tenant's own. */
export const roleName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{1,62}$/, 'must be lower-case letters, digits and hyphens, 2 to 63 of them');

const description = z
  .string()
  .trim()
  .max(1_000)
  .refine((text) => text.isWellFormed() && !text.includes('\0'), 'must be well-formed Unicode without NUL');
const documentCondition = z
  .record(z.string(), z.unknown())
  .nullable()
  .describe(
    'Which documents there are for its holders, such as {"metadata.department": {"$eq": {"$reader": "department"}}}; null: every one that they are readers of. See docs/roles-and-attributes.md',
  );
const permissionList = z.array(z.enum(permissions)).min(1).max(permissions.length);

export const roleBody = z.strictObject({
  name: roleName.describe('For good: keys, users and readers of documents name the role by it'),
  description: description.default(''),
  permissions: permissionList.describe('None that you do not hold yourself'),
  document_condition: documentCondition.default(null),
});

export const roleChangeBody = z.strictObject({
  description: description.optional(),
  permissions: permissionList.optional(),
  document_condition: documentCondition.optional(),
});

export const roleParams = z.object({ name: z.string().max(100) });

export const roleView = z.object({
  name: z.string(),
  description: z.string(),
  built_in: z.boolean(),
  permissions: z.array(z.string()),
  document_condition: z.record(z.string(), z.unknown()).nullable(),
  created_at: z.string().nullable(),
  updated_at: z.string().nullable(),
});

export const roleList = z.object({
  built_in: z.array(roleView).describe('On every page'),
  roles: z.array(roleView).describe("The tenant's own, newest first"),
  next_cursor: z.string().nullable(),
});
