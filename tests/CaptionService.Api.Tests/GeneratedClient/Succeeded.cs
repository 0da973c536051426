using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using NSwag;

namespace CaptionService.Api.Tests.GeneratedClient;

/// <summary>Which operations of the document were answered with success.</summary>
internal sealed class Succeeded(OpenApiDocument document) : DelegatingHandler(new SocketsHttpHandler())
{
    private readonly ConcurrentDictionary<string, bool> _operations = [];

    public ICollection<string> Operations => _operations.Keys;

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        HttpResponseMessage response = await base.SendAsync(request, cancellationToken);
        if (response.IsSuccessStatusCode)
        {
            string path = request.RequestUri!.AbsolutePath;
            OpenApiOperationDescription operation = document.Operations
                .Where(o => o.Method.Equals(request.Method.Method, StringComparison.OrdinalIgnoreCase) && Regex.IsMatch(path, $"^{Regex.Replace(o.Path, "{[^}]+}", "[^/]+")}$"))
                .MinBy(o => o.Path.Count(c => c == '{'))!;     // /evaluations/compare before /evaluations/{id}
            _operations[$"{operation.Method} {operation.Path}"] = true;
        }
        return response;
    }
}
