// Forms that were sent to us, read up to a size that none of ours reaches.
const LARGEST_FORM = 16 * 1024;

/** The fields of a request's body. */
export async function readForm(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= LARGEST_FORM) chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
}
