// Captions a photo with each client as its package is, and prints what each read: node clients.mjs URL PHOTO
import { readFileSync } from 'node:fs';
import AzureVision from '@azure-rest/ai-vision-image-analysis';
import { AzureKeyCredential } from '@azure/core-auth';
import { InferenceClient } from '@huggingface/inference';
import { Ollama } from 'ollama';
import OpenAI from 'openai';

const [url, file] = process.argv.slice(2);
const photo = readFileSync(file);
const base64 = photo.toString('base64');
const read = {};

const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
const messages = [{ role: 'user', content: [
  { type: 'text', text: 'Describe this image.' },
  { type: 'image_url', image_url: { url: `data:image/jpeg;base64,${base64}` } },
] }];
const chat = await openai.chat.completions.create({ model: 'llava', messages, n: 2 });
read.openai = chat.choices.map(choice => choice.message.content);
let streamed = '', tokens = 0;
for await (const chunk of await openai.chat.completions.create({ model: 'llava', messages, stream: true, stream_options: { include_usage: true } })) {
  streamed += chunk.choices[0]?.delta.content ?? '';
  tokens = chunk.usage?.completion_tokens ?? tokens;
}
read.openaiStream = [streamed, tokens];
const response = await openai.responses.create({ model: 'caption-de', input: [{ role: 'user', content: [
  { type: 'input_text', text: 'Describe this image.' }, { type: 'input_image', image_url: `data:image/jpeg;base64,${base64}` }] }] });
read.openaiResponse = response.output_text;
read.openaiModels = (await openai.models.list()).data.map(model => model.id);
read.openaiError = await openai.chat.completions.create({ model: 'gpt-4o', messages }).catch(error => [error.status, error.code, error.type]);

const ollama = new Ollama({ host: url });
read.ollama = (await ollama.generate({ model: 'llava', prompt: 'Describe this image.', images: [base64] })).response;
const chunks = [];
for await (const chunk of await ollama.chat({ model: 'llava', messages: [{ role: 'user', content: 'Was zeigt das Bild?', images: [base64] }], stream: true })) {
  chunks.push([chunk.message.content, chunk.done]);
}
read.ollamaStream = chunks;
read.ollamaModels = (await ollama.list()).models.map(model => model.name);
read.ollamaShow = (await ollama.show({ model: 'llava' })).capabilities;
read.ollamaError = await ollama.generate({ model: 'qwen3-vl', prompt: '?', images: [base64] }).catch(error => [error.status_code, error.message]);

const azure = (AzureVision.default ?? AzureVision)(url, new AzureKeyCredential('none'), { allowInsecureConnection: true });
const analyze = features => azure.path('/imageanalysis:analyze').post({
  body: photo, contentType: 'application/octet-stream', queryParameters: { features, language: 'en' } });
const analysis = (await analyze(['Caption', 'DenseCaptions'])).body;
read.azure = [analysis.captionResult.text, analysis.captionResult.confidence, analysis.denseCaptionsResult.values[0].boundingBox, analysis.metadata];
const refused = await analyze(['Tags']);
read.azureError = [refused.status, refused.body.error.code, refused.body.error.innererror.code];

const huggingFace = new InferenceClient();
read.huggingFace = (await huggingFace.imageToText({ endpointUrl: `${url}/models/llava`, data: new Blob([photo]) })).generated_text;
read.huggingFaceError = await huggingFace.imageToText({ endpointUrl: `${url}/models/nobody`, data: new Blob([photo]) }).catch(error => error.httpResponse.body.code);

console.log(JSON.stringify(read));
