import { describe, expect, it } from 'vitest';
import { sealCall, sealReasoning } from './openai-responses-seal.ts';
import { openAiResponsesTranslation as translation } from './openai-responses-translation.ts';

const read = (request: object) => translation.readRequest({ model: 'm', input: 'Hi', ...request });
const refusedFields = (request: object): string[] => {
  try {
    read(request);
  } catch (error) {
    return (error as { errors: { path: string }[] }).errors.map(({ path }) => path);
  }
  return [];
};

describe('a request in the neutral form', () => {
  it('has instructions and texts as messages', () => {
    expect(read({ instructions: 'Be brief.' }).prompt).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: [{ type: 'text', text: 'Hi' }] },
    ]);
    const input = [
      { role: 'developer', content: [{ type: 'input_text', text: 'Rules' }] },
      { type: 'message', role: 'user', content: 'One' },
      {
        ...{ type: 'message', id: 'msg_1', role: 'assistant', status: 'completed', phase: 'final_answer' },
        content: [
          { type: 'output_text', text: 'Two', annotations: [{ type: 'url_citation' }], logprobs: [] },
          { type: 'refusal', refusal: 'No' },
        ],
      },
    ];
    expect(read({ input }).prompt).toEqual([
      { role: 'system', content: 'Rules' },
      { role: 'user', content: [{ type: 'text', text: 'One' }] },
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'Two' },
          { type: 'text', text: 'No' },
        ],
      },
    ]);
  });

  it('gathers what a model said in one turn, and the outputs of its calls', () => {
    const signed = { anthropic: { signature: 's1' } };
    const input = [
      { role: 'user', content: 'Weather?' },
      {
        ...{ type: 'reasoning', id: 'rs_1', encrypted_content: sealReasoning(signed) },
        summary: [{ type: 'summary_text', text: 'Hm' }],
      },
      { type: 'reasoning', id: 'rs_2', summary: [], encrypted_content: 'gAAAA-of-openai' },
      { role: 'assistant', content: 'I look.' },
      { type: 'function_call', id: 'fc_1', call_id: 'a', name: 'weather', arguments: '{"city":"Oslo"}' },
      { type: 'function_call', call_id: 'b', name: 'now', arguments: '' },
      {
        type: 'reasoning',
        summary: [],
        encrypted_content: sealCall('b', { google: { thoughtSignature: 't' } }),
      },
      { type: 'custom_tool_call', call_id: 'c', name: 'shell', input: 'ls' },
      { type: 'function_call_output', call_id: 'a', output: 'clear' },
      {
        ...{ type: 'function_call_output', call_id: 'b' },
        output: [
          { type: 'input_text', text: 'See' },
          { type: 'input_image', image_url: 'https://pictures.example/a.png' },
        ],
      },
      { type: 'custom_tool_call_output', call_id: 'c', output: [{ type: 'input_text', text: 'x' }] },
    ];
    const { prompt } = read({ input });
    expect(prompt.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool']);
    expect(prompt[1]?.content).toEqual([
      { type: 'reasoning', text: 'Hm', providerOptions: signed },
      { type: 'text', text: 'I look.' },
      { type: 'tool-call', toolCallId: 'a', toolName: 'weather', input: { city: 'Oslo' } },
      {
        ...{ type: 'tool-call', toolCallId: 'b', toolName: 'now', input: {} },
        providerOptions: { google: { thoughtSignature: 't' } },
      },
      { type: 'tool-call', toolCallId: 'c', toolName: 'shell', input: { input: 'ls' } },
    ]);
    expect(prompt[2]?.content).toMatchObject([
      { toolCallId: 'a', toolName: 'weather', output: { type: 'text', value: 'clear' } },
      {
        toolCallId: 'b',
        toolName: 'now',
        output: { type: 'content', value: [{ text: 'See' }, { type: 'file' }] },
      },
      { toolCallId: 'c', toolName: 'shell', output: { type: 'text', value: 'x' } },
    ]);
  });

  it('has pictures, documents and recordings with their types', () => {
    const content = [
      { type: 'input_image', image_url: 'data:image/webp;base64,AAAA', detail: 'high' },
      { type: 'input_image', image_url: 'https://pictures.example/a.png?x=1' },
      { type: 'input_file', filename: 'a.pdf', file_data: 'data:application/pdf;base64,BBBB' },
      { type: 'input_file', filename: 'notes.md', file_data: 'CCCC' },
      { type: 'input_file', file_url: 'https://files.example/report.pdf?v=2' },
      { type: 'input_audio', input_audio: { data: 'DDDD', format: 'mp3' } },
      { type: 'input_text', text: 'So', prompt_cache_breakpoint: { mode: 'explicit' } },
    ];
    expect(read({ input: [{ role: 'user', content }] }).prompt[0]?.content).toMatchObject([
      { mediaType: 'image/webp', data: { type: 'data', data: 'AAAA' } },
      { mediaType: 'image/png', data: { type: 'url', url: new URL('https://pictures.example/a.png?x=1') } },
      { mediaType: 'application/pdf', filename: 'a.pdf', data: { data: 'BBBB' } },
      { mediaType: 'text/markdown', filename: 'notes.md', data: { data: 'CCCC' } },
      { mediaType: 'application/pdf', data: { type: 'url' } },
      { mediaType: 'audio/mpeg', data: { data: 'DDDD' } },
      { type: 'text', text: 'So', providerOptions: { anthropic: { cacheControl: { type: 'ephemeral' } } } },
    ]);
  });

  it('has settings by their neutral names, and only those that were given', () => {
    const schema = { type: 'object', properties: {} };
    expect(
      read({
        ...{ max_output_tokens: 5, temperature: 0, top_p: 0.5, parallel_tool_calls: false },
        ...{ reasoning: { effort: 'high', summary: 'auto' }, tool_choice: { type: 'function', name: 'f' } },
        text: { format: { type: 'json_schema', name: 'trip', schema, strict: true }, verbosity: 'medium' },
        tools: [
          { type: 'function', name: 'f', parameters: schema, strict: true },
          { type: 'custom', name: 'c', format: { type: 'text' } },
        ],
      }),
    ).toEqual({
      prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }],
      ...{ maxOutputTokens: 5, temperature: 0, topP: 0.5, reasoning: 'high' },
      responseFormat: { type: 'json', schema, name: 'trip' },
      toolChoice: { type: 'tool', toolName: 'f' },
      tools: [
        { type: 'function', name: 'f', inputSchema: schema, strict: true },
        expect.objectContaining({ name: 'c', inputSchema: expect.objectContaining({ required: ['input'] }) }),
      ],
      providerOptions: {
        openai: { parallelToolCalls: false },
        anthropic: { disableParallelToolUse: true },
        google: { thinkingConfig: { includeThoughts: true } },
      },
    });
    expect(Object.keys(read({}))).toEqual(['prompt']);
  });

  it('offers only the tools that a choice allows', () => {
    const tools = ['a', 'b'].map((name) => ({ type: 'function', name, parameters: {} }));
    const allowed = [{ type: 'function', name: 'b' }];
    const options = read({ tools, tool_choice: { type: 'allowed_tools', mode: 'required', tools: allowed } });
    expect(options.toolChoice).toEqual({ type: 'required' });
    expect(options.tools?.map(({ name }) => name)).toEqual(['b']);
  });

  it('leaves out what says nothing about the answer', () => {
    const harmless = {
      ...{ store: false, background: false, truncation: 'disabled', top_logprobs: 0, service_tier: 'auto' },
      ...{ user: 'u', safety_identifier: 's', metadata: { a: 'b' }, prompt_cache_key: 'k', stream: true },
      ...{ include: ['reasoning.encrypted_content'], previous_response_id: null, conversation: null },
      ...{ text: { format: { type: 'text' } }, stream_options: { include_obfuscation: false } },
    };
    expect(Object.keys(read(harmless))).toEqual(['prompt']);
  });

  const f = { type: 'function', name: 'f' };
  const user = (...content: object[]) => ({ input: [{ role: 'user', content }] });
  it.each<[string, object, string[]]>([
    ['stored replies', { store: true }, ['store']],
    [
      'kept conversations',
      { previous_response_id: 'r', conversation: 'c' },
      ['previous_response_id', 'conversation'],
    ],
    ['kept prompts', { prompt: { id: 'p' } }, ['prompt']],
    ['kept items', { input: [{ type: 'item_reference', id: 'i' }] }, ['input.0']],
    ['kept files', user({ type: 'input_image', file_id: 'f' }), ['input.0.content.0.file_id']],
    ['tools that OpenAI runs', { tools: [f, { type: 'web_search' }] }, ['tools.1']],
    ['their results', { input: [{ type: 'web_search_call', id: 'ws' }] }, ['input.0.type']],
    ['grammars', { tools: [{ type: 'custom', name: 'c', format: { type: 'grammar' } }] }, ['tools.0.format']],
    ['unknown tools chosen', { tools: [f], tool_choice: { type: 'function', name: 'g' } }, ['tool_choice']],
    ['truncation', { truncation: 'auto' }, ['truncation']],
    [
      'likelihoods',
      { top_logprobs: 2, include: ['message.output_text.logprobs'] },
      ['top_logprobs', 'include'],
    ],
    ['tiers', { service_tier: 'flex' }, ['service_tier']],
    ['verbosity', { text: { verbosity: 'low' } }, ['text.verbosity']],
    ['unknown efforts', { reasoning: { effort: 'huge' } }, ['reasoning.effort']],
    ['unknown fields', { future: 1 }, ['future']],
    ['unknown members of tools', { tools: [{ ...f, output_schema: {} }] }, ['tools.0.output_schema']],
    ['unknown members of items', { input: [{ role: 'user', content: 'x', mood: 'good' }] }, ['input.0.mood']],
    [
      'unknown members of parts',
      user({ type: 'input_text', text: 'x', mood: 1 }),
      ['input.0.content.0.mood'],
    ],
    [
      'outputs of no call',
      { input: [{ type: 'function_call_output', call_id: 'z', output: '' }] },
      ['input.0.call_id'],
    ],
    [
      'files of no known type',
      user({ type: 'input_file', file_url: 'https://a.example/b' }),
      ['input.0.content.0.filename'],
    ],
    [
      'other addresses',
      user({ type: 'input_image', image_url: 'file:///etc/passwd' }),
      ['input.0.content.0.image_url'],
    ],
    [
      'broken arguments',
      { input: [{ type: 'function_call', call_id: 'a', name: 'f', arguments: '{' }] },
      ['input.0.arguments'],
    ],
    ['numbers as text', { temperature: '1' }, ['temperature']],
    ['no input', { input: null }, ['input']],
    ['wrong roles', { input: [{ role: 'king', content: 'x' }] }, ['input.0.role']],
  ])('refuses %s by name', (_, request, paths) => {
    expect(refusedFields(request)).toEqual(paths);
  });
});
