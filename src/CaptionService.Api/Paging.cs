using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.OpenApi;

namespace CaptionService.Api;

/// <summary>Pages of lists, as requests ask for them and as the OpenAPI document describes them.</summary>
/// <param name="Default">Entries where the request does not say.</param>
/// <param name="Most">Most entries.</param>
internal sealed record Paging(int Default, int Most)
{
    /// <summary>Lists of what callers made.</summary>
    public static readonly Paging List = new(50, 200);

    /// <summary>Reads the number of entries to leave out and the number to answer with. As text: what is no number is a problem like any other, not the framework's.</summary>
    /// <exception cref="ProblemException">One is out of range.</exception>
    public (int Offset, int Limit) Read(string? offset, string? limit) => (Number("offset", offset, 0, 0, int.MaxValue), Limit(limit));

    /// <summary>Reads the number of entries to answer with.</summary>
    /// <exception cref="ProblemException">It is out of range.</exception>
    public int Limit(string? limit) => Number("limit", limit, Default, 1, Most);

    /// <summary>Describes the parameters <c>offset</c> and <c>limit</c>.</summary>
    public void Describe(OpenApiOperation operation)
    {
        foreach (OpenApiParameter parameter in operation.Parameters?.OfType<OpenApiParameter>() ?? [])
        {
            if (parameter.Name == "offset")
            {
                parameter.Description = "How many to leave out. Default: 0.";
                parameter.Schema = new OpenApiSchema { Type = JsonSchemaType.Integer, Minimum = "0", Default = JsonValue.Create(0) };
            }
            else if (parameter.Name == "limit")
            {
                parameter.Description = $"How many at most. Default: {Default}.";
                parameter.Schema = new OpenApiSchema { Type = JsonSchemaType.Integer, Minimum = "1", Maximum = $"{Most}", Default = JsonValue.Create(Default) };
            }
        }
    }

    private static int Number(string name, string? text, int otherwise, int least, int most) =>
        text is null ? otherwise
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= least && value <= most ? value
        : throw new ProblemException(ProblemTable.InvalidOption, $"The option {name} is '{text.Quoted()}'; it must be a number from {least} to {most}.");
}
