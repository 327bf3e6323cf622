/** The pages at `/apidocs` in which people read the API and try it: Swagger UI over the OpenAPI document. */
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifyRequest } from 'fastify'

/** They load nothing from elsewhere; their style sheets are partly inline. */
const policy =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'"

const xmlns = 'http://www.w3.org/2000/svg'
const mark =
  '<rect width="32" height="32" rx="7" fill="#0172ad"/>' +
  '<path d="M10 7v18M22 7v18M10 16h12" stroke="#fff" stroke-width="4" stroke-linecap="round"/>'
const icon = `<svg xmlns="${xmlns}" viewBox="0 0 32 32">${mark}</svg>`
/** For the dark bar at the top, where Fastify's logo would stand. */
const logo =
  `<svg xmlns="${xmlns}" viewBox="0 0 150 32">${mark}` +
  '<text x="43" y="23" fill="#fff" font-family="system-ui, sans-serif" font-size="20" font-weight="700">Holdfast</text></svg>'

/** `documentFor` answers the document as whoever asks has to see it: with the address by which the server is reached. */
export const serveApiPages = async (
  app: FastifyInstance,
  document: object,
  documentFor: (request: FastifyRequest) => object,
): Promise<void> => {
  await app.register(swagger, { mode: 'static', specification: { document: document as never } })
  await app.register(swaggerUi, {
    routePrefix: '/apidocs',
    staticCSP: policy,
    transformSpecification: (_document, request) => documentFor(request) as Record<string, unknown>,
    transformSpecificationClone: false,
    logo: { type: 'image/svg+xml', content: logo },
    theme: {
      title: 'The API of Holdfast',
      favicon: [{ filename: 'icon.svg', rel: 'icon', type: 'image/svg+xml', sizes: 'any', content: icon }],
    },
  })
}
