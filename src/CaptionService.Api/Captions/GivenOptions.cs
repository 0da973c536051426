using System.Text.Json;
using Microsoft.Extensions.Primitives;

namespace CaptionService.Api.Captions;

/// <summary>Options as a request gives them: text by name, the body's in the place of the query's.</summary>
internal sealed class GivenOptions
{
    private const int MaxBytes = 1024;

    private readonly Dictionary<string, string> _texts = new(StringComparer.OrdinalIgnoreCase);
    private readonly HashSet<string> _fields = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>What was given.</summary>
    public IReadOnlyDictionary<string, string> Texts => _texts;

    /// <summary>Takes one of the query.</summary>
    /// <exception cref="ProblemException">There is no such option.</exception>
    public void AddQuery(string name, StringValues values)
    {
        RequestedOptions.CheckName(name);
        _texts[name] = values.ToString();
    }

    /// <summary>Takes a field of a form; lists may come in several.</summary>
    /// <exception cref="ProblemException">There is no such option, it is too long, or came before.</exception>
    public async Task AddField(string name, Stream body, CancellationToken aborted)
    {
        RequestedOptions.CheckName(name);
        bool again = !_fields.Add(name);
        if (again && !RequestedOptions.IsList(name))
            throw new ProblemException(ProblemTable.InvalidOption, $"The option '{name}' is in the form twice.");
        string text = await RequestBody.ReadText(body, MaxBytes, aborted)
            ?? throw new ProblemException(ProblemTable.InvalidOption,
            $"The form field '{name}' is longer than {MaxBytes} bytes; a photo needs a file name.");
        _texts[name] = again ? Longer(name, _texts[name], text) : text;
    }

    /// <summary>Takes a member of a JSON body.</summary>
    /// <exception cref="ProblemException">There is no such option.</exception>
    public void AddMember(string name, JsonElement value)
    {
        RequestedOptions.CheckName(name);
        _texts[name] = value.ValueKind switch
        {
            JsonValueKind.String => value.GetString()!,
            JsonValueKind.Null => "",
            JsonValueKind.Array when value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String) =>
                string.Join(',', value.EnumerateArray().Select(item => item.GetString())),
            _ => value.GetRawText(),
        };
    }

    private static string Longer(string name, string list, string item) => list.Length + item.Length < MaxBytes
        ? $"{list},{item}"
        : throw new ProblemException(ProblemTable.InvalidOption, $"The option '{name}' is longer than {MaxBytes} bytes.");
}
